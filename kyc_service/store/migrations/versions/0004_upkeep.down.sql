drop index orders_done;
drop trigger tenant_keys_under_living_roots on tenant_keys;
drop function refuse_retired_root;
drop table retired_roots;
