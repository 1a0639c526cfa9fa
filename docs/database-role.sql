-- The role that the application logs in as: it reads and writes rows, and owns, alters and drops nothing. Run it as the user that owns
-- the database (simple378:databaseUser) with psql 14 or later, before the first release that uses the role, and again to change its password:
--
--     APP_USER=simple378_app APP_PASSWORD=... psql "postgresql://simple378@HOST:5432/simple378?sslmode=verify-full&sslrootcert=FILE" -f docs/database-role.sql
--
-- Variables and not arguments, which every user of the machine could read. Twice does no harm.
\set ON_ERROR_STOP on
\getenv app APP_USER
\getenv password APP_PASSWORD
\set QUIET on
BEGIN;
SELECT format('CREATE ROLE %I', :'app') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'app') \gexec
ALTER ROLE :"app" LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE :"DBNAME" TO :"app";
-- PostgreSQL before 15 lets everybody make tables in the schema public.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"app";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"app";
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO :"app";
-- And on those that migrations, which run as this user, make from now on.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO :"app";
COMMIT;
