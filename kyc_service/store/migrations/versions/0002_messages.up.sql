do $$ begin
  execute format('grant usage, create on schema %I to kyc_owner, kyc_system', current_schema());
end $$;

-- ── how far everybody was told ───────────────────────────────────────────────────
-- Everything up to and including `position` has reached the one who is called `name`. Belongs to no tenant.
create table checkpoints (
  name       text        primary key,
  position   bigint      not null check (position >= 0),
  updated_at timestamptz not null default clock_timestamp()
);

-- What the feed of one tenant reads; every other reader goes by `events_position`.
create index events_published on events (tenant, position)
  where type in ('ApplicationSubmitted', 'ApplicationVerified', 'ApplicationRejected', 'ApplicationRolledBack');

-- ── how far the log is settled ───────────────────────────────────────────────────
-- Positions are given out before the commit, so a lower one may appear after a higher one. An insert takes its lock on
-- the table before it takes a position and keeps it until it has ended; so, once everybody who held the lock *after*
-- position `fence` was seen has ended, whatever is missing up to the fence will never come. Each statement below has a
-- snapshot of its own, and the order of the first two is the proof. ADR 0007 tells what else was tried.
create function settle_log(
  p_fence bigint, p_holders text[], out fence bigint, out holders text[]
) language plpgsql volatile security definer set search_path from current as $$
declare
  present text[];
begin
  fence := p_fence;
  if fence is null then
    select coalesce(max(position), 0) into fence from events;
  end if;
  select array_agg(virtualtransaction) into present
    from pg_locks
    where locktype = 'relation' and relation = 'events'::regclass and mode = 'RowExclusiveLock' and granted
      and database = (select oid from pg_database where datname = current_database())
      and pid is distinct from pg_backend_pid();
  if p_fence is null then
    holders := coalesce(present, '{}');
  else
    holders := array(select unnest(p_holders) intersect select unnest(present));
  end if;
end $$;

-- How much the receivers have not been told yet, and since when; counts no further than ten thousand.
create function backlogs(p_names text[], out name text, out behind bigint, out oldest timestamptz)
returns setof record language sql stable security definer set search_path from current as $$
  select wanted.name, missing.behind, missing.oldest
  from unnest(p_names) as wanted (name)
  left join checkpoints c on c.name = wanted.name
  cross join lateral (
    select count(*) as behind, min(at) as oldest
    from (
      select at from events
      where position > coalesce(c.position, 0)
        and type in ('ApplicationSubmitted', 'ApplicationVerified', 'ApplicationRejected', 'ApplicationRolledBack')
      order by position
      limit 10000
    ) as waiting
  ) as missing;
$$;

-- ── who may do what ──────────────────────────────────────────────────────────────
alter table checkpoints owner to kyc_owner;
grant select, insert, update, delete on checkpoints to kyc_system;
alter function settle_log owner to kyc_system;
alter function backlogs owner to kyc_system;
revoke all on function settle_log, backlogs from public;
grant execute on function settle_log, backlogs to kyc_app;
do $$ begin execute format('revoke create on schema %I from kyc_owner, kyc_system', current_schema()); end $$;
