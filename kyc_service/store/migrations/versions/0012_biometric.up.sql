-- Which class of data a file is; its own key is of that class. What is a selfie turns out after the upload.
alter table files add column class text not null default 'document';
alter table files alter column class drop default;
grant update (path, sealed, class) on files to kyc_app;
