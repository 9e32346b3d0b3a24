-- Descriptions of faces, sealed under their persons' own biometric keys, of the tenants that want them: ADR 0017.
create table face_descriptions (
  tenant      text  not null,
  id          uuid  not null,
  person      uuid  not null,
  application uuid  not null,
  file        uuid  not null,
  sealed      bytea not null,
  primary key (tenant, id),
  unique (tenant, application, file)
);
create index face_descriptions_of_person on face_descriptions (tenant, person);

-- Whoever destroys a key of a person, of whichever class, takes the descriptions along in the same commit.
create function forget_faces() returns trigger language plpgsql set search_path from current as $$
begin
  delete from face_descriptions where tenant = new.tenant and person = new.subject;
  return new;
end $$;
create trigger faces_go_with_the_key after update of wrapped on keys
  for each row when (new.wrapped is null and old.wrapped is not null) execute function forget_faces();

do $$ begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
end $$;
alter table face_descriptions enable row level security, force row level security;
create policy one_tenant on face_descriptions to kyc_owner, kyc_app
  using (tenant = current_setting('kyc.tenant', true)) with check (tenant = current_setting('kyc.tenant', true));
create policy every_tenant on face_descriptions to kyc_system using (true) with check (true);
grant select, insert, delete on face_descriptions to kyc_app, kyc_system;
alter table face_descriptions owner to kyc_owner;
alter function forget_faces owner to kyc_owner;
do $$ begin execute format('revoke create on schema %I from kyc_owner', current_schema()); end $$;
