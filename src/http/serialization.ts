import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import plugin from 'fastify-plugin'

/**
 * How answers are written from their schemas: as Fastify does it, but compiled when an answer is first given. A route
 * has ten errors that it may never answer with: to compile them all takes a start a fifth of a second.
 */
export const serialization = plugin(
  (app, _options, done) => {
    const compile = SerializerSelector()(app.getSchemas(), {})
    app.setSerializerCompiler((route) => {
      let write: ReturnType<typeof compile> | undefined
      return (answer) => (write ??= compile(route as Parameters<typeof compile>[0]))(answer)
    })
    done()
  },
  { name: 'serialization', dependencies: ['validation'] },
)
