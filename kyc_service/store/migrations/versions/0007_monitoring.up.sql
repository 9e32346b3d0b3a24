-- Continuous screening. A person is an application; their facts are keyed fingerprints; what matched is sealed under
-- their own key, and an entry is recognised by a keyed mark. Nothing here names anybody or says which entry it was.

create table enrolments (
  tenant         text        not null,
  application    uuid        not null,
  subject        uuid        not null,
  identity       uuid        not null,
  facts          bytea       not null,
  enrolled_at    timestamptz not null,
  ended_at       timestamptz,
  lists          jsonb,
  engine         text,
  screened_facts bytea,
  screened_at    timestamptz,
  primary key (tenant, application)
);

create table campaigns (
  tenant    text        not null,
  id        uuid        not null,
  occasion  text        not null,
  engine    text        not null,
  lists     jsonb       not null,
  dry_run   boolean     not null,
  opened_at timestamptz not null,
  closed_at timestamptz,
  primary key (tenant, id)
);

-- One row for each person and campaign, also when nothing matched.
create table outcomes (
  tenant       text        not null,
  application  uuid        not null,
  campaign     uuid        not null,
  step         text        not null check (step in ('first', 'same', 'worse', 'better')),
  band         text        not null check (band in ('clear', 'review', 'hit')),
  count        integer     not null,
  facts        bytea       not null,
  at           timestamptz not null,
  sealed_entry uuid,
  sealed       bytea,
  primary key (tenant, campaign, application),
  foreign key (tenant, campaign) references campaigns (tenant, id),
  foreign key (tenant, application) references enrolments (tenant, application),
  check ((count = 0) = (sealed is null))
);
create index outcomes_of_person on outcomes (tenant, application, at desc);

create table alerts (
  tenant      text        not null,
  id          uuid        not null,
  application uuid        not null,
  campaign    uuid        not null,
  mark        bytea       not null,
  step        text        not null,
  band        text        not null,
  raised_at   timestamptz not null,
  closed_at   timestamptz,
  primary key (tenant, id),
  foreign key (tenant, campaign, application) references outcomes (tenant, campaign, application)
);
create index alerts_open on alerts (tenant, raised_at, id) where closed_at is null;
create index alerts_of_person on alerts (tenant, application);

create table suppressions (
  tenant          text        not null,
  id              uuid        not null,
  application     uuid        not null,
  mark            bytea       not null,
  person          bytea       not null,
  listed          bytea       not null,
  band            text        not null check (band in ('review', 'hit')),
  grounds         jsonb       not null,
  made_by         text        not null,
  made_at         timestamptz not null,
  expires_at      timestamptz not null check (expires_at > made_at),
  revoked_at      timestamptz,
  revoked_because text,
  primary key (tenant, id),
  foreign key (tenant, application) references enrolments (tenant, application)
);
create index suppressions_of_person on suppressions (tenant, application);

do $$
declare name text;
begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
  foreach name in array array['enrolments', 'campaigns', 'outcomes', 'alerts', 'suppressions'] loop
    execute format('alter table %I enable row level security, force row level security', name);
    execute format($p$create policy one_tenant on %I to kyc_owner, kyc_app
      using (tenant = current_setting('kyc.tenant', true))
      with check (tenant = current_setting('kyc.tenant', true))$p$, name);
    execute format('create policy every_tenant on %I to kyc_system using (true) with check (true)', name);
    execute format('grant select on %I to kyc_app, kyc_system', name);
    execute format('alter table %I owner to kyc_owner', name);
  end loop;
  execute format('revoke create on schema %I from kyc_owner', current_schema());
end $$;
-- What was found is never rewritten: an outcome is added, or goes with the person.
grant insert, update on enrolments, campaigns, alerts, suppressions to kyc_app;
grant insert on outcomes to kyc_app;
grant delete on enrolments, outcomes, alerts, suppressions to kyc_app;

-- Who has enrolments to look after, for whoever plans the work of all tenants; nothing else crosses them.
create function watched_tenants() returns table (tenant text, people bigint)
language sql stable security definer set search_path from current as $$
  select e.tenant, count(*) from enrolments e where e.ended_at is null group by e.tenant order by e.tenant;
$$;
do $$ begin
  execute format('grant create on schema %I to kyc_system', current_schema());
  alter function watched_tenants owner to kyc_system;
  execute format('revoke create on schema %I from kyc_system', current_schema());
end $$;
revoke all on function watched_tenants from public;
grant execute on function watched_tenants to kyc_app;
