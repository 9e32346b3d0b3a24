revoke update (path, sealed, class) on files from kyc_app;
alter table files drop column class;
