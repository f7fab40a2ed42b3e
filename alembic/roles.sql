-- SPDX-License-Identifier: EUPL-1.2
-- Roles, schema and extensions of one Belfry database. Run once by a database administrator, connected to it.
-- May be run again. Passwords are set outside this file.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['belfry_owner', 'belfry_app', 'belfry_relay', 'belfry_auditor', 'belfry_backup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'belfry_search') THEN
        CREATE ROLE belfry_search NOLOGIN;
    END IF;
END $$;

ALTER ROLE belfry_owner NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE belfry_app NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE belfry_relay NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE belfry_search NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE belfry_auditor NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE belfry_backup NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS REPLICATION;

-- A waiting lock, a runaway statement and a forgotten transaction each end by themselves.
ALTER ROLE belfry_app SET lock_timeout = '2s';
ALTER ROLE belfry_app SET statement_timeout = '5s';
ALTER ROLE belfry_app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE belfry_relay SET lock_timeout = '2s';
ALTER ROLE belfry_relay SET statement_timeout = '5s';
ALTER ROLE belfry_relay SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE belfry_owner SET lock_timeout = '2s';
ALTER ROLE belfry_auditor SET row_security = 'on';
ALTER ROLE belfry_auditor SET default_transaction_read_only = 'on';
ALTER ROLE belfry_backup SET row_security = 'off';

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO belfry_app, belfry_relay, belfry_auditor, belfry_backup, belfry_owner', current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- Migrations name functions of the extensions below, and hand the search functions over to belfry_search.
GRANT USAGE ON SCHEMA public TO belfry_owner;
GRANT belfry_search TO belfry_owner WITH INHERIT FALSE, SET TRUE;

CREATE SCHEMA IF NOT EXISTS belfry AUTHORIZATION belfry_owner;
GRANT USAGE ON SCHEMA belfry TO belfry_app, belfry_relay, belfry_search, belfry_auditor, belfry_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE belfry_owner IN SCHEMA belfry GRANT SELECT ON TABLES TO belfry_backup;

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS btree_gin;
