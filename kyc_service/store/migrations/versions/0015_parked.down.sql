drop table parked;
