drop trigger claimed_files_have_a_person on file_claims;
drop function hold_files;
alter table files drop column person;
