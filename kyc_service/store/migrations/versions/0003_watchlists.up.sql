-- Sanctions and PEP lists are public and the same for every tenant, so these tables have no tenant and no row-level
-- security. What serves requests may read them; only what crosses tenants (`kyc lists`, the nightly sync) may write.

-- A list, the version of it that is in force, and when that was last known to be what the publisher has.
create table watchlists (
  source       text primary key,
  latest       integer not null default 0,
  active       integer,
  confirmed_at timestamptz
);

create table watchlist_versions (
  source       text        not null references watchlists,
  number       integer     not null check (number > 0),
  parent       integer,
  status       text        not null check (status in ('active', 'quarantined', 'superseded', 'refused')),
  digest       text        not null,
  entries      integer     not null,
  added        integer     not null,
  changed      integer     not null,
  removed      integer     not null,
  problems     integer     not null,
  shown        jsonb       not null,
  reasons      jsonb       not null,
  statistics   jsonb       not null,
  files        jsonb       not null,
  imported_at  timestamptz not null,
  activated_at timestamptz,
  released_by  text,
  note         text,
  primary key (source, number)
);
create unique index watchlists_one_active on watchlist_versions (source) where status = 'active';

-- Every entry once, by the SHA-256 of its bytes, however many versions hold it.
create table watchlist_entries (
  digest bytea primary key check (length(digest) = 32),
  body   bytea not null
);

-- What a version changes in its parent; a version's entries are the sum of the changes up to it.
create table watchlist_changes (
  source text    not null,
  number integer not null,
  entry  text    not null,
  before bytea,
  after  bytea references watchlist_entries,
  primary key (source, number, entry),
  foreign key (source, number) references watchlist_versions (source, number),
  check (before is distinct from after)
);
create index watchlist_changes_of_entry on watchlist_changes (source, entry, number desc);
create index watchlist_changes_after on watchlist_changes (after);

do $$
declare name text;
begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
  foreach name in array array['watchlists', 'watchlist_versions', 'watchlist_entries', 'watchlist_changes'] loop
    execute format('grant select on %I to kyc_app', name);
    execute format('grant select, insert, update, delete on %I to kyc_system', name);
    execute format('alter table %I owner to kyc_owner', name);
  end loop;
  execute format('revoke create on schema %I from kyc_owner', current_schema());
end $$;
