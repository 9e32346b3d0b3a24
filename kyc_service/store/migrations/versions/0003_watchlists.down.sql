drop table watchlist_changes, watchlist_entries, watchlist_versions, watchlists;
