-- Keyed digests of what a document can be recognised by; see docs/documents.md. Rows go with the person and the file.
create table document_marks (
  tenant      text  not null,
  digest      bytea not null check (length(digest) = 16),
  trait       text  not null,
  person      uuid  not null,
  application uuid  not null,
  file        uuid  not null,
  primary key (tenant, digest, person, application, file)
);
create index document_marks_of_person on document_marks (tenant, person);
create index document_marks_of_application on document_marks (tenant, application);
create index document_marks_of_file on document_marks (tenant, file);

-- Whoever destroys the key of a person or of a file, in whatever way, takes the marks along in the same commit.
create function forget_marks() returns trigger language plpgsql set search_path from current as $$
begin
  delete from document_marks
    where tenant = new.tenant and ((new.class = 'cdd' and person = new.subject) or file = new.subject);
  return new;
end $$;
create trigger marks_go_with_the_key after update of wrapped on keys
  for each row when (new.wrapped is null and old.wrapped is not null) execute function forget_marks();

do $$ begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
end $$;
alter table document_marks enable row level security, force row level security;
create policy one_tenant on document_marks to kyc_owner, kyc_app
  using (tenant = current_setting('kyc.tenant', true)) with check (tenant = current_setting('kyc.tenant', true));
create policy every_tenant on document_marks to kyc_system using (true) with check (true);
grant select, insert, delete on document_marks to kyc_app, kyc_system;
alter table document_marks owner to kyc_owner;
alter function forget_marks owner to kyc_owner;
do $$ begin execute format('revoke create on schema %I from kyc_owner', current_schema()); end $$;
