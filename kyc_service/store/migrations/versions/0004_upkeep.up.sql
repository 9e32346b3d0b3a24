do $$ begin
  execute format('grant usage, create on schema %I to kyc_owner, kyc_system', current_schema());
end $$;

-- ── root keys that were retired ──────────────────────────────────────────────────
-- A process that has not read the new key file yet would wrap a new tenant key under a root key that is about to be
-- thrown away, and nobody could ever open it again. So the database knows what was retired, and refuses.
create table retired_roots (
  version    integer     primary key,
  retired_at timestamptz not null default clock_timestamp()
);

create function refuse_retired_root() returns trigger language plpgsql set search_path from current as $$
begin
  if exists (select from retired_roots where version = new.root) then
    raise exception 'root key % was retired', new.root using errcode = 'KY006';
  end if;
  return new;
end $$;
create trigger tenant_keys_under_living_roots before insert or update of root, wrapped on tenant_keys
  for each row when (new.wrapped is not null) execute function refuse_retired_root();

-- ── what is over ─────────────────────────────────────────────────────────────────
-- A block range index: orders end about in the order in which they were made, and ending one must stay cheap.
create index orders_done on orders using brin (done_at);

-- ── who may do what ──────────────────────────────────────────────────────────────
alter table retired_roots owner to kyc_owner;
grant select on retired_roots to kyc_app, kyc_system;
grant insert on retired_roots to kyc_system;
alter function refuse_retired_root owner to kyc_owner;
do $$ begin execute format('revoke create on schema %I from kyc_owner, kyc_system', current_schema()); end $$;
