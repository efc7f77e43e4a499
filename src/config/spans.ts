import type * as Api from '@opentelemetry/api'
import type { Attributes, Span, Tracer } from '@opentelemetry/api'
import { release } from './build-info.ts'
import type { Config } from './config.ts'
import { withoutLastSlashes } from '../text/text-values.ts'

/**
 * OpenTelemetry traces, if the standard environment variables switch them on; nothing is loaded otherwise. Spans carry
 * routes, statements without values, and message names: nothing that identifies a person.
 */

type TracingConfig = Pick<
  Config,
  | 'PROJECT_NAME'
  | 'OTEL_SDK_DISABLED'
  | 'OTEL_TRACES_EXPORTER'
  | 'OTEL_EXPORTER_OTLP_ENDPOINT'
  | 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'
  | 'OTEL_SERVICE_NAME'
>

interface Tracing {
  readonly api: typeof Api
  readonly suppressTracing: (context: Api.Context) => Api.Context
  readonly tracer: Tracer
}

let tracing: Tracing | undefined

/** Switched on by an endpoint or by OTEL_TRACES_EXPORTER=otlp, unless OTEL_SDK_DISABLED. */
export function tracingIsOn(config: TracingConfig): boolean {
  if (config.OTEL_SDK_DISABLED || config.OTEL_TRACES_EXPORTER === 'none') return false
  return config.OTEL_TRACES_EXPORTER === 'otlp' || tracesUrl(config) !== undefined
}

function tracesUrl(config: TracingConfig): string | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url } = config
  return url ?? (base && `${withoutLastSlashes(base)}/v1/traces`)
}

/**
 * Starts tracing. The SDK reads further settings (headers, sampler, batches) from the environment.
 *
 * @returns a function that stops it and sends the remaining spans
 */
export async function startTracing(config: TracingConfig): Promise<() => Promise<void>> {
  const [
    api,
    { suppressTracing },
    { BatchSpanProcessor, NodeTracerProvider },
    { OTLPTraceExporter },
    resources,
  ] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/core'),
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const url = tracesUrl(config)
  const named = resources.resourceFromAttributes({
    'service.name': config.OTEL_SERVICE_NAME ?? config.PROJECT_NAME,
    'service.version': release,
  })
  const provider = new NodeTracerProvider({
    resource: resources.detectResources({ detectors: [resources.envDetector] }).merge(named),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ ...(url && { url }) }))],
  })
  provider.register()
  tracing = { api, suppressTracing, tracer: provider.getTracer('groundwork') }
  return async () => {
    tracing = undefined
    await provider.shutdown()
    for (const part of [api.trace, api.context, api.propagation]) part.disable()
  }
}

/** Whether traces are on. */
export const isTracing = () => tracing !== undefined

/** Runs `work` in a span of that name; without traces, just runs it. */
export function traced<T>(name: string, attributes: Attributes, work: () => Promise<T>): Promise<T> {
  if (!tracing) return work()
  const { api, tracer } = tracing
  return tracer.startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work()
    } catch (error) {
      span.setStatus({ code: api.SpanStatusCode.ERROR })
      span.setAttribute('error.type', (error as { code?: string }).code ?? (error as Error).name)
      throw error
    } finally {
      span.end()
    }
  })
}

/** Runs `work` without any span, what it calls included. */
export function untraced<T>(work: () => T): T {
  if (!tracing) return work()
  const { api, suppressTracing } = tracing
  return api.context.with(suppressTracing(api.context.active()), work)
}

/** Ids of the active span, for log lines. */
export function traceIds(span = tracing?.api.trace.getActiveSpan()): { trace_id?: string; span_id?: string } {
  if (!span) return {}
  const { traceId, spanId } = span.spanContext()
  return { trace_id: traceId, span_id: spanId }
}

/** The span of a request, a child of the caller's if `traceparent` names one (W3C Trace Context). */
export interface RequestSpan {
  readonly span: Span
  /** Runs `next` in its context. */
  within(next: () => void): void
  end(status: number): void
}

/** @returns undefined without traces */
export function startRequestSpan(headers: object, method: string, route?: string): RequestSpan | undefined {
  if (!tracing) return undefined
  const { api, tracer } = tracing
  // Not tracestate and baggage, which would be repeated with every span.
  const { traceparent } = headers as { traceparent?: string }
  const caller = api.propagation.extract(api.ROOT_CONTEXT, { traceparent })
  const attributes = { 'http.request.method': method, ...(route && { 'http.route': route }) }
  const name = route ? `${method} ${route}` : method
  const span = tracer.startSpan(name, { kind: api.SpanKind.SERVER, attributes }, caller)
  const context = api.trace.setSpan(caller, span)
  return {
    span,
    within: (next) => api.context.with(context, next),
    end(status) {
      span.setAttribute('http.response.status_code', status)
      if (status >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR })
      span.end()
    },
  }
}
