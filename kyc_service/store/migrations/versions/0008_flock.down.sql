drop function append_all;
drop function append;

create function append(p_tenant text, p_stream uuid, p_expected integer, p_at timestamptz, p_change jsonb)
returns void language plpgsql security definer set search_path from current as $$
declare
  answer   constant jsonb := p_change -> 'answer';
  new_key  constant jsonb := p_change -> 'key';
  finished constant jsonb := p_change -> 'finished';
  subject  constant uuid  := (p_change ->> 'user')::uuid;
  meta     constant jsonb := p_change -> 'meta';
  reached  integer := p_expected;
  last     bytea;
  event    jsonb;
begin
  if answer is not null then
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
      values (p_tenant, answer ->> 'client', answer ->> 'key', decode(answer ->> 'fingerprint', 'hex'), subject,
              (answer ->> 'entry')::uuid, decode(answer ->> 'response', 'hex'), (answer ->> 'expires')::timestamptz)
      on conflict (tenant, client, key) do update
        set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
            response = excluded.response, expires_at = excluded.expires_at
        where known.expires_at < p_at;
    if not found then
      raise exception 'answered before' using errcode = 'KY004';
    end if;
  end if;
  if new_key is not null then
    insert into keys (tenant, id, subject, class, generation, kek_version, wrapped, created_at)
      values (p_tenant, (new_key ->> 'id')::uuid, subject, new_key ->> 'class', (new_key ->> 'generation')::integer,
              (new_key ->> 'kek_version')::integer, decode(new_key ->> 'wrapped', 'hex'), p_at)
      on conflict do nothing;
    if not found then
      raise exception 'key exists' using errcode = 'KY005';
    end if;
  end if;
  if finished is not null then
    update orders set done_at = p_at, leased_until = null
      where tenant = p_tenant and id = (finished ->> 'id')::uuid and lease = (finished ->> 'lease')::bigint
        and done_at is null;
    if not found then
      raise exception 'lease lost' using errcode = 'KY002';
    end if;
  end if;
  if p_expected > 0 then
    select hash into last from applications
      where tenant = p_tenant and id = p_stream and version = p_expected for update;
    if not found then
      raise exception 'expected version %', p_expected using errcode = 'KY001';
    end if;
  end if;
  for event in select * from jsonb_array_elements(p_change -> 'events') loop
    reached := reached + 1;
    insert into events (tenant, stream, version, id, type, schema, at, data, sealed, meta, hash)
      select p_tenant, p_stream, reached, e.id, e.type, e.schema, p_at, e.data, e.sealed, meta,
             event_hash(last, p_tenant, p_stream, reached, e.id, e.type, e.schema, p_at, e.data, e.sealed, meta)
      from (select (event ->> 'id')::uuid, event ->> 'type', (event ->> 'schema')::smallint, event -> 'data',
                   decode(event ->> 'sealed', 'hex')) as e (id, type, schema, data, sealed)
      returning hash into last;
  end loop;
  if p_expected = 0 then
    insert into applications (tenant, id, version, status, user_id, email_index, created_at, updated_at, state, sealed,
                              hash)
      values (p_tenant, p_stream, reached, p_change ->> 'status', subject, decode(p_change ->> 'email', 'hex'), p_at,
              p_at, p_change -> 'state', decode(p_change ->> 'sealed', 'hex'), last);
  else
    update applications
      set version = reached, status = p_change ->> 'status', updated_at = p_at, state = p_change -> 'state',
          sealed = decode(p_change ->> 'sealed', 'hex'), hash = last,
          email_index = coalesce(decode(p_change ->> 'email', 'hex'), email_index)
      where tenant = p_tenant and id = p_stream;
  end if;
  if jsonb_array_length(p_change -> 'orders') > 0 then
    insert into orders (tenant, id, stream, kind, payload, created_at, due_at)
      -- what is due at once is due by the database's own clock, whatever the clock of the caller says
      select p_tenant, o.id, p_stream, o.kind, o.payload, p_at, case when o.due = p_at then clock_timestamp() else o.due end
      from jsonb_to_recordset(p_change -> 'orders') as o (id uuid, kind text, payload jsonb, due timestamptz)
      on conflict do nothing;
  end if;
  if jsonb_array_length(p_change -> 'files') > 0 then
    insert into file_claims (tenant, file, application)
      select p_tenant, file::uuid, p_stream from jsonb_array_elements_text(p_change -> 'files') as file
      on conflict do nothing;
  end if;
end $$;

-- Several changes in one statement and one commit. The tenant is named change by change, for this transaction only.
create function append_all(p_changes jsonb) returns void language plpgsql set search_path from current as $$
declare
  change jsonb;
begin
  for change in select * from jsonb_array_elements(p_changes) loop
    perform set_config('kyc.tenant', change ->> 'tenant', true);
    perform append(change ->> 'tenant', (change ->> 'stream')::uuid, (change ->> 'expected')::integer,
                   (change ->> 'at')::timestamptz, change);
  end loop;
end $$;

do $$ begin execute format('grant create on schema %I to kyc_owner', current_schema()); end $$;
alter function append owner to kyc_owner;
do $$ begin execute format('revoke create on schema %I from kyc_owner', current_schema()); end $$;
revoke all on function append, append_all from public;
grant execute on function append, append_all to kyc_app;
