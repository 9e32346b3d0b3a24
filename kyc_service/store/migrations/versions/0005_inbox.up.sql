-- What was refused to a sender of messages: the same command again gets the same refusal, whatever is so by then. What
-- was carried out stands in idempotency, committed together with its outcome. Nothing here is personal: the name of the
-- command is a digest, the request a keyed fingerprint, and a problem never repeats what was sent.
create table inbox (
  tenant      text        not null,
  client      text        not null,
  key         text        not null,
  fingerprint bytea       not null,
  problem     json        not null,
  expires_at  timestamptz not null,
  primary key (tenant, client, key)
);
create index inbox_expiry on inbox (tenant, expires_at);

alter table inbox enable row level security, force row level security;
create policy one_tenant on inbox to kyc_owner, kyc_app
  using (tenant = current_setting('kyc.tenant', true))
  with check (tenant = current_setting('kyc.tenant', true));
create policy every_tenant on inbox to kyc_system using (true) with check (true);
do $$ begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
  alter table inbox owner to kyc_owner;
  execute format('revoke create on schema %I from kyc_owner', current_schema());
end $$;
grant select, insert, delete on inbox to kyc_app;
grant select, delete on inbox to kyc_system;

-- ── whom there is news for ───────────────────────────────────────────────────────
-- Between two positions, both settled. Tells which tenants have something to be told, and nothing of what it is.
create function feed_news(p_after bigint, p_upto bigint) returns table (tenant text, "position" bigint)
language sql stable security definer set search_path from current as $$
  select e.tenant, max(e.position)
  from events e
  where e.position > p_after and e.position <= p_upto
    and e.type in ('ApplicationSubmitted', 'ApplicationVerified', 'ApplicationRejected', 'ApplicationRolledBack')
  group by e.tenant;
$$;
do $$ begin
  execute format('grant create on schema %I to kyc_system', current_schema());
  alter function feed_news owner to kyc_system;
  execute format('revoke create on schema %I from kyc_system', current_schema());
end $$;
revoke all on function feed_news from public;
grant execute on function feed_news to kyc_app;
