-- When an order is due is reckoned by the clock of the database alone, which also decides who may take it: a caller says
-- how long it has to wait, and not until when. A caller whose clock is wrong by hours would fire or hold up every timer.
-- Otherwise `append` is as in 0008: the whole effect of several commands, with `after` in seconds for `due`.
create or replace function append(p_tenant text, p_changes jsonb) returns void
language plpgsql security definer set search_path from current set enable_seqscan = off as $$
declare
  present  constant timestamptz := clock_timestamp();
  answers  integer;
  new_keys integer;
  finished integer;
  old      integer;
  claims   integer;
  longest  integer;
  earliest timestamptz;
  met      integer;
begin
  select count(c.answer), count(c.key), count(c.finished), count(*) filter (where c.expected > 0),
         sum(jsonb_array_length(c.files)), max(jsonb_array_length(c.events)), min(c.at)
    into answers, new_keys, finished, old, claims, longest, earliest
    from jsonb_to_recordset(p_changes) as c (
      expected integer, at timestamptz, answer jsonb, key jsonb, finished jsonb, files jsonb, events jsonb
    );
  if answers > 0 then
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
      select p_tenant, a.client, a.key, decode(a.fingerprint, 'hex'), c."user", a.entry, decode(a.response, 'hex'),
             a.expires
      from jsonb_to_recordset(p_changes) as c ("user" uuid, answer jsonb),
           jsonb_to_record(c.answer) as a (
             client text, key text, fingerprint text, entry uuid, response text, expires timestamptz
           )
      where c.answer is not null
      on conflict (tenant, client, key) do update
        set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
            response = excluded.response, expires_at = excluded.expires_at
        where known.expires_at < earliest;
    get diagnostics met = row_count;
    if met < answers then
      raise exception 'answered before' using errcode = 'KY004';
    end if;
  end if;
  if new_keys > 0 then
    insert into keys (tenant, id, subject, class, generation, kek_version, wrapped, created_at)
      select p_tenant, k.id, c."user", k.class, k.generation, k.kek_version, decode(k.wrapped, 'hex'), c.at
      from jsonb_to_recordset(p_changes) as c ("user" uuid, at timestamptz, key jsonb),
           jsonb_to_record(c.key) as k (id uuid, class text, generation integer, kek_version integer, wrapped text)
      where c.key is not null
      on conflict do nothing;
    get diagnostics met = row_count;
    if met < new_keys then
      raise exception 'key exists' using errcode = 'KY005';
    end if;
  end if;
  if finished > 0 then
    update orders o set done_at = c.at, leased_until = null
      from jsonb_to_recordset(p_changes) as c (at timestamptz, finished jsonb)
      where o.tenant = p_tenant and o.id = (c.finished ->> 'id')::uuid and o.lease = (c.finished ->> 'lease')::bigint
        and o.done_at is null;
    get diagnostics met = row_count;
    if met < finished then
      raise exception 'lease lost' using errcode = 'KY002';
    end if;
  end if;
  if old > 0 then
    perform from applications a
      join jsonb_to_recordset(p_changes) as c (stream uuid, expected integer)
        on a.tenant = p_tenant and a.id = c.stream and a.version = c.expected
      order by a.id
      for update of a;
    get diagnostics met = row_count;
    if met < old then
      raise exception 'not at the expected version' using errcode = 'KY001';
    end if;
  end if;
  for place in 1 .. longest loop  -- one event of each, because the hash of the next one needs it
    insert into events (tenant, stream, version, id, type, schema, at, data, sealed, meta, hash)
      select p_tenant, c.stream, c.expected + place, e.id, e.type, e.schema, c.at, e.data, e.box, c.meta,
             event_hash((select hash from events where stream = c.stream and version = c.expected + place - 1),
                        p_tenant, c.stream, c.expected + place, e.id, e.type, e.schema, c.at, e.data, e.box, c.meta)
      from jsonb_to_recordset(p_changes) as c (
             stream uuid, expected integer, at timestamptz, meta jsonb, events jsonb
           ),
           lateral (
             select id, type, schema, data, decode(sealed, 'hex') as box
             from jsonb_to_record(c.events -> place - 1) as e (
               id uuid, type text, schema smallint, data jsonb, sealed text
             )
           ) as e
      where jsonb_array_length(c.events) >= place;
  end loop;
  if old < jsonb_array_length(p_changes) then
    insert into applications (tenant, id, version, status, user_id, email_index, created_at, updated_at, state, sealed,
                              hash)
      select p_tenant, c.stream, jsonb_array_length(c.events), c.status, c."user", decode(c.email, 'hex'), c.at, c.at,
             c.state, decode(c.sealed, 'hex'),
             (select hash from events where stream = c.stream and version = jsonb_array_length(c.events))
      from jsonb_to_recordset(p_changes) as c (
        stream uuid, expected integer, at timestamptz, events jsonb, status text, "user" uuid, email text, state jsonb,
        sealed text
      )
      where c.expected = 0;
  end if;
  if old > 0 then
    update applications a
      set version = c.expected + jsonb_array_length(c.events), status = c.status, updated_at = c.at, state = c.state,
          sealed = decode(c.sealed, 'hex'), email_index = coalesce(decode(c.email, 'hex'), a.email_index),
          hash = (select hash from events
                  where stream = c.stream and version = c.expected + jsonb_array_length(c.events))
      from jsonb_to_recordset(p_changes) as c (
        stream uuid, expected integer, at timestamptz, events jsonb, status text, email text, state jsonb, sealed text
      )
      where c.expected > 0 and a.tenant = p_tenant and a.id = c.stream;
  end if;
  insert into orders (tenant, id, stream, kind, payload, created_at, due_at)
    select p_tenant, o.id, c.stream, o.kind, o.payload, present, present + o.after * interval '1 second'
    from jsonb_to_recordset(p_changes) as c (stream uuid, orders jsonb),
         jsonb_to_recordset(c.orders) as o (id uuid, kind text, payload jsonb, after double precision)
    on conflict do nothing;
  if claims > 0 then
    insert into file_claims (tenant, file, application)
      select p_tenant, file::uuid, c.stream
      from jsonb_to_recordset(p_changes) as c (stream uuid, files jsonb), jsonb_array_elements_text(c.files) as file
      on conflict do nothing;
  end if;
end $$;
