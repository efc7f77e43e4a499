import { isUtf8 } from 'node:buffer'
import { Busboy } from '@fastify/busboy'
import { PayloadTooLarge, UnreadableBody, UnsupportedMediaType } from '../../contract/errors.ts'
import { NO_TEXT } from '../../text/form-text.ts'

/** No form of the contract has ten fields; each costs the parser 40 µs. */
const MOST_PARTS = 64

/** Several values of one name are an array, as in `querystring`. */
type Fields = Record<string, string | string[]>

/**
 * Reads the text fields of multipart/form-data (RFC 7578), as UTF-8 whatever a part says. Files are refused.
 *
 * @param type the whole Content-Type, which names the boundary
 * @throws ApiError
 */
export function parseMultipart(body: Buffer, type: string): Promise<Fields> {
  const parts: [name: string, bytes: Buffer[]][] = []
  return new Promise((resolve, reject) => {
    if (body.toString('latin1').split('\r\n--').length > MOST_PARTS) throw new PayloadTooLarge()
    const parser = parserFor(type)
    // Whichever of these events comes first decides.
    parser.on('error', () => reject(new UnreadableBody()))
    parser.on('finish', () => resolve(fieldsOf(parts)))
    parser.on('file', (name: string | undefined, stream, file: string | undefined) => {
      if (file !== undefined) reject(new UnsupportedMediaType())
      if (name === undefined) reject(new UnreadableBody())
      const bytes: Buffer[] = []
      stream.on('error', () => reject(new UnreadableBody()))
      stream.on('data', (chunk: Buffer) => bytes.push(chunk))
      parts.push([name ?? '', bytes])
    })
    parser.end(body)
  })
}

/** Has busboy treat text fields as files, which gives their bytes: invalid UTF-8 can still be told. */
function parserFor(type: string) {
  try {
    return new Busboy({ headers: { 'content-type': type }, isPartAFile: () => true })
  } catch {
    throw new UnreadableBody() // there is no boundary
  }
}

function fieldsOf(parts: readonly [name: string, bytes: Buffer[]][]): Fields {
  const fields = Object.create(null) as Fields
  for (const [name, chunks] of parts) {
    const bytes = Buffer.concat(chunks)
    const text = isUtf8(bytes) ? bytes.toString('utf8') : NO_TEXT
    fields[name] = fields[name] === undefined ? text : [fields[name], text].flat()
  }
  return fields
}
