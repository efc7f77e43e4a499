SET LOCAL lock_timeout = '5s';--> statement-breakpoint
-- On large tables these indexes are made before the release, with CREATE INDEX CONCURRENTLY: see README.md here.
ALTER TABLE "users" ADD COLUMN IF NOT EXISTS "deleted_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "emails_sent_at_index" ON "emails" USING btree ("sent_at") WHERE "emails"."sent_at" is not null;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "known_networks_signed_in_at_index" ON "known_networks" USING btree ("signed_in_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "rate_limits_over_index" ON "rate_limits" USING btree (greatest("forgotten_at", "resumes_at"));--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "users_deleted_at_index" ON "users" USING btree ("deleted_at") WHERE "users"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "users_registered_from_index" ON "users" USING btree ("created_at") WHERE "users"."registered_from" is not null;