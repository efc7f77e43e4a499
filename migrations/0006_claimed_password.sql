SET LOCAL lock_timeout = '5s';--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN IF NOT EXISTS "claimed_password_hash" text;
