-- Readiness and metrics look at the work list at every probe, so they must not read what was finished long ago.
create index orders_given_up on orders (dead_at) where dead_at is not null and done_at is null;
create or replace function orders_backlog(out open bigint, out oldest_due timestamptz, out dead bigint)
language sql stable security definer set search_path from current as $$
  select (select count(*) from orders
          where done_at is null and dead_at is null and due_at <= statement_timestamp()),
         (select min(due_at) from orders where done_at is null and dead_at is null),
         (select count(*) from orders where dead_at is not null and done_at is null);
$$;

-- An alert for the compliance desk that a broker was not told counts as well; a screening without open hits is not told.
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
        and (
          type in ('ApplicationSubmitted', 'ApplicationVerified', 'ApplicationRejected', 'ApplicationRolledBack',
                   'AlertRaised', 'HitReopened')
          or type = 'PersonScreened' and data @? '$.hits[*] ? (@.decision == null)'
        )
      order by position
      limit 10000
    ) as waiting
  ) as missing;
$$;
