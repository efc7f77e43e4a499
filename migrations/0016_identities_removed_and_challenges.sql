SET LOCAL lock_timeout = '5s';--> statement-breakpoint
ALTER TABLE "identities" ADD COLUMN "removed_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "oidc_codes" ADD COLUMN "code_challenge" text;--> statement-breakpoint
ALTER TABLE "oidc_states" ADD COLUMN "code_challenge" text;