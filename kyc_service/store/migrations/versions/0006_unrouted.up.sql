-- How many events the broker keeps that nobody there has asked for, when it was last looked at.
alter table checkpoints add column unrouted bigint not null default 0;

drop function backlogs;
create function backlogs(p_names text[], out name text, out behind bigint, out oldest timestamptz, out unrouted bigint)
returns setof record language sql stable security definer set search_path from current as $$
  select wanted.name, missing.behind, missing.oldest, coalesce(c.unrouted, 0)
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

do $$ begin execute format('grant create on schema %I to kyc_system', current_schema()); end $$;
alter function backlogs owner to kyc_system;
revoke all on function backlogs from public;
grant execute on function backlogs to kyc_app;
do $$ begin execute format('revoke create on schema %I from kyc_system', current_schema()); end $$;
