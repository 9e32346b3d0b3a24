drop trigger watch_ends_with_the_key on keys;
drop function forget_watch;
drop index enrolments_of_person;
alter table outcomes drop constraint outcomes_tenant_application_fkey,
  add constraint outcomes_tenant_application_fkey
    foreign key (tenant, application) references enrolments (tenant, application);
alter table campaigns add column dry_run boolean not null default false, add column closed_at timestamptz;
alter table campaigns alter column dry_run drop default;

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
  foreach name in array array['alerts', 'suppressions'] loop
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
grant insert, update, delete on alerts, suppressions to kyc_app;
