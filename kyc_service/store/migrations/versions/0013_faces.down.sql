drop trigger faces_go_with_the_key on keys;
drop function forget_faces;
drop table face_descriptions;
