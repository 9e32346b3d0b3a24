create or replace function backlogs(
  p_names text[], out name text, out behind bigint, out oldest timestamptz, out unrouted bigint
) returns setof record language sql stable security definer set search_path from current as $$
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
create or replace function orders_backlog(out open bigint, out oldest_due timestamptz, out dead bigint)
language sql stable security definer set search_path from current as $$
  select count(*) filter (where dead_at is null and due_at <= clock_timestamp()),
         min(due_at) filter (where dead_at is null),
         count(*) filter (where dead_at is not null)
  from orders where done_at is null;
$$;
drop index orders_given_up;
