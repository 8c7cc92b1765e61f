-- Tells lapsed of every change of a table of jobs, so that it need not ask. `lapsed source sql SOURCE` prints this filled in:
--
--     lapsed source sql SOURCE | psql "$DATABASE_URL"
--
-- By hand, the names are variables of psql:
--
--     psql -v schema=public -v table=jobs -v id=id -v channel=lapsed_SOURCE \
--          -v rows=lapsed_SOURCE -v truncate='lapsed_SOURCE truncate' -f postgres-trigger.sql "$DATABASE_URL"
--
-- It may be run again at any time. Whoever runs it needs to own the table. To be rid of it:
--
--     DROP TRIGGER IF EXISTS :"rows" ON :"schema".:"table";
--     DROP TRIGGER IF EXISTS :"truncate" ON :"schema".:"table";
--     DROP FUNCTION IF EXISTS :"schema".lapsed_notify();  -- once no table uses it

BEGIN;

-- The first argument of the trigger is the channel, the second the column of ids.
CREATE OR REPLACE FUNCTION :"schema".lapsed_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $lapsed$
DECLARE
    channel text := TG_ARGV[0];
    now_id text;
    old_id text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        -- No id: all rows are read again.
        PERFORM pg_notify(channel, '');
        RETURN NULL;
    END IF;
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            EXECUTE format('SELECT ($1).%I::text', TG_ARGV[1]) INTO now_id USING NEW;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            EXECUTE format('SELECT ($1).%I::text', TG_ARGV[1]) INTO old_id USING OLD;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        -- Such as a column with another name by now. Whoever writes to the table must not suffer from it: all rows are read again.
        now_id := '';
        old_id := '';
    END;
    -- A notification has at most 7999 bytes: an id that is longer becomes none.
    IF now_id IS NOT NULL THEN
        PERFORM pg_notify(channel, CASE WHEN octet_length(now_id) < 8000 THEN now_id ELSE '' END);
    END IF;
    IF old_id IS DISTINCT FROM now_id AND old_id IS NOT NULL THEN
        PERFORM pg_notify(channel, CASE WHEN octet_length(old_id) < 8000 THEN old_id ELSE '' END);
    END IF;
    RETURN NULL;
END
$lapsed$;

DROP TRIGGER IF EXISTS :"rows" ON :"schema".:"table";
CREATE TRIGGER :"rows" AFTER INSERT OR UPDATE OR DELETE ON :"schema".:"table"
    FOR EACH ROW EXECUTE PROCEDURE :"schema".lapsed_notify(:'channel', :'id');

DROP TRIGGER IF EXISTS :"truncate" ON :"schema".:"table";
CREATE TRIGGER :"truncate" AFTER TRUNCATE ON :"schema".:"table"
    FOR EACH STATEMENT EXECUTE PROCEDURE :"schema".lapsed_notify(:'channel', :'id');

COMMIT;
