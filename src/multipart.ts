import { Busboy } from '@fastify/busboy'
import { PayloadTooLarge, UnreadableBody, UnsupportedMediaType } from './errors.ts'
import { NO_TEXT } from './form-text.ts'

/** No form of ours has ten. Each costs its parser 40 µs. */
const MOST_PARTS = 64

/** Several of one name, as `querystring` has them. */
type Fields = Record<string, string | string[]>

/**
 * The texts of a form that came in parts (RFC 7578). Files are taken nowhere.
 *
 * @param type the whole Content-Type, which names the boundary
 * @throws ApiError
 */
export function parseMultipart(body: Buffer, type: string): Promise<Fields> {
  const fields = Object.create(null) as Fields
  return new Promise((resolve, reject) => {
    if (body.toString('latin1').split('\r\n--').length > MOST_PARTS) throw new PayloadTooLarge()
    const parser = parserFor(type, body.length)
    // The first of all these is what happens.
    parser.on('filesLimit', () => reject(new UnsupportedMediaType()))
    parser.on('error', () => reject(new UnreadableBody()))
    parser.on('finish', () => resolve(fields))
    parser.on('field', (name: string | undefined, value) => {
      if (name === undefined) return reject(new UnreadableBody())
      const text = isAsItCame(value, body) ? value : NO_TEXT
      fields[name] = fields[name] === undefined ? text : [fields[name], text].flat()
    })
    parser.end(body)
  })
}

/** The body's size is bounded already: nothing is cut off. */
function parserFor(type: string, fieldSize: number) {
  try {
    const isPartAFile = (_name: string | undefined, _type: string | undefined, file: string | undefined) =>
      file !== undefined
    return new Busboy({ headers: { 'content-type': type }, isPartAFile, limits: { files: 0, fieldSize } })
  } catch {
    throw new UnreadableBody() // there is no boundary
  }
}

/** Not where bytes were no UTF-8, nor where a part has an encoding of its own, in which other bytes may be the same text. */
const isAsItCame = (value: string, body: Buffer) => body.includes(value, 0, 'utf8')
