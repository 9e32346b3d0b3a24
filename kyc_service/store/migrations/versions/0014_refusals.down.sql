revoke update on inbox from kyc_system;
drop index inbox_expired;
