SET LOCAL lock_timeout = '5s';--> statement-breakpoint
-- Of a large table made by hand before, with CONCURRENTLY: migrations/README.md.
CREATE INDEX IF NOT EXISTS "sessions_user_id_created_at_id_index" ON "sessions" USING btree ("user_id","created_at","id");--> statement-breakpoint
DROP INDEX IF EXISTS "sessions_user_id_index";--> statement-breakpoint
-- By hand. A user has a hundred live sessions at most: whoever opens one more ends the oldest. In a trigger, as each of
-- its statements sees what others have committed: of two that are opened at once, the second waits for the user's row,
-- and then counts the first one's too. A few at a time, where there are many from before.
CREATE OR REPLACE FUNCTION limit_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM users WHERE id = NEW.user_id FOR NO KEY UPDATE;
  DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions
    WHERE user_id = NEW.user_id AND expires_at > now()
    ORDER BY created_at DESC, id DESC
    OFFSET 100 LIMIT 100
  );
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE OR REPLACE TRIGGER limit_sessions AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION limit_sessions();
