drop function feed_news;
drop table inbox;
