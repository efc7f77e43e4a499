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
  readonly security: object[]
  readonly parameters?: { name: string; in: string; required?: boolean; schema: Json }[]
  readonly requestBody?: { required: boolean; content: Record<string, MediaType> }
  readonly responses: Record<
    string,
    { description: string; headers?: Json; content?: Record<string, MediaType> }
  >
}

export interface Document {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { schemas: Record<string, Json>; securitySchemes: Json }
}

/** An operation with where it is, and a path that can be called. */
export type Described = ReturnType<typeof operationsOf>[number]

export const documentOf = (app: App) => app.swagger() as unknown as Document

/** Every operation, with its method and a path that can be called. */
export const operationsOf = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, operation]) => ({
      operation,
      path,
      method: verb.toUpperCase() as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
      url: path.replace('{email}', 'ada@example.com').replaceAll(/\{.+?\}/g, randomUUID()),
    })),
  )

/** What clients have been generated from: operationId, method, path, and whether it is public (P) or needs a token (T). */
export const lineOf = ({ method, path, operation: { operationId, security } }: Described) =>
  `${operationId} ${method} ${path.replace('/api/v1', '')} ${security.length === 0 ? 'P' : 'T'}`
