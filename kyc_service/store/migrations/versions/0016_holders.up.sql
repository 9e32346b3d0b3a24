-- A file is the person's whose application claimed it first, for good: ADR 0019. It is written with the claim, in the same
-- commit, whoever claims; KY007: an application names a file of another person.
alter table files add column person uuid;

create function hold_files() returns trigger language plpgsql set search_path from current as $$
begin
  perform from files f
    where f.tenant = any(array(select tenant from claimed)) and f.id = any(array(select file from claimed))
    order by f.id
    for no key update;  -- everywhere in the same order, so that nobody deadlocks
  update files f set person = a.user_id
    from claimed c join applications a on a.tenant = c.tenant and a.id = c.application
    where f.tenant = c.tenant and f.id = c.file and f.person is null;
  if exists (
    select from claimed c
    join applications a on a.tenant = c.tenant and a.id = c.application
    join files f on f.tenant = c.tenant and f.id = c.file
    where f.person <> a.user_id
  ) then
    raise exception 'a file of another person' using errcode = 'KY007';
  end if;
  return null;
end $$;

-- Where two persons have claimed one file before there was this rule, it is the first one's; the other's claim still counts.
grant update (person) on files to kyc_system;
set local role kyc_system;
update files f set person = (
  select a.user_id from file_claims c join applications a on a.tenant = c.tenant and a.id = c.application
  where c.tenant = f.tenant and c.file = f.id
  order by a.created_at, a.id
  limit 1
);
reset role;
revoke update (person) on files from kyc_system;

create trigger claimed_files_have_a_person after insert on file_claims
  referencing new table as claimed
  for each statement execute function hold_files();

do $$ begin execute format('grant create on schema %I to kyc_owner', current_schema()); end $$;
alter function hold_files owner to kyc_owner;
do $$ begin execute format('revoke create on schema %I from kyc_owner', current_schema()); end $$;
