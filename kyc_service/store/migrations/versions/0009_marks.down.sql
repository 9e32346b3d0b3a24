drop trigger marks_go_with_the_key on keys;
drop function forget_marks;
drop table document_marks;
