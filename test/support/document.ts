import { randomUUID } from 'node:crypto'
import type { App } from '../../src/contract/contract.ts'

export type Json = Record<string, unknown>
export interface MediaType {
  readonly schema: Json
  readonly examples?: Record<string, { value: unknown }>
}

/** What tests look at in an operation of the document. */
export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: string[]
  readonly 'x-permission'?: string
  readonly security: Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: { name: string; in: string; required?: boolean; schema: Json }[]
  readonly requestBody?: { required: boolean; content: Record<string, MediaType> }
  readonly responses: Record<string, DescribedAnswer>
}

interface DescribedAnswer {
  readonly description: string
  readonly headers?: Json
  readonly content?: Record<string, MediaType>
}

export interface Document {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: {
    readonly schemas: Record<string, Json>
    readonly responses?: Record<string, DescribedAnswer>
    readonly securitySchemes: Json
  }
}

/** An operation with where it is, and a path that can be called. */
export type Described = ReturnType<typeof operationsOf>[number]

export const documentOf = (app: App) => app.swagger() as unknown as Document

/** Every operation, with its method, a path that can be called, and its answers where they are used. */
export const operationsOf = ({ paths, components }: Document) =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, operation]) => ({
      operation: { ...operation, responses: inPlace(operation.responses, components.responses) },
      path,
      method: verb.toUpperCase() as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
      url: path.replace('{email}', 'ada@example.com').replaceAll(/\{.+?\}/g, randomUUID()),
    })),
  )

/** Answers with those that are components in the place of their references. */
const inPlace = (answers: Operation['responses'], shared: Operation['responses'] = {}) =>
  Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => {
      const { $ref } = answer as { $ref?: string }
      return [status, shared[$ref?.replace('#/components/responses/', '') ?? ''] ?? answer]
    }),
  )

/** What clients have been generated from: operationId, method, path, and whether it is public (P) or needs a token (T). */
export const lineOf = ({ method, path, operation: { operationId, security } }: Described) =>
  `${operationId} ${method} ${path.replace('/api/v1', '')} ${security.length === 0 ? 'P' : 'T'}`
