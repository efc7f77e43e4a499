CREATE TABLE "audit_events" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"event" text NOT NULL,
	"outcome" text DEFAULT 'success' NOT NULL,
	"reason" text,
	"actor_id" uuid,
	"subject_id" uuid,
	"session_id" uuid,
	"api_key_id" uuid,
	"ip" text,
	"request_id" text,
	"details" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE INDEX "audit_events_created_at_id_index" ON "audit_events" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "audit_events_event_created_at_id_index" ON "audit_events" USING btree ("event","created_at","id");--> statement-breakpoint
CREATE INDEX "audit_events_actor_id_created_at_id_index" ON "audit_events" USING btree ("actor_id","created_at","id");--> statement-breakpoint
CREATE INDEX "audit_events_subject_id_created_at_id_index" ON "audit_events" USING btree ("subject_id","created_at","id");