import { randomBytes } from 'node:crypto'

/** A text field of a form. */
export interface FormField {
  name: string
  value: string
}

/** The one file of a form. */
export interface FormFile {
  name: string
  fileName: string
  /** Bytes. */
  size: number
  chunks: AsyncIterable<Uint8Array>
}

/**
 * multipart/form-data (RFC 7578) with text fields first and one file last, produced while it is read, so that a
 * bundle of many gigabytes never lies in memory. The length is known beforehand.
 */
export function multipartBody(
  fields: readonly FormField[],
  file: FormFile,
): { chunks: AsyncIterable<Uint8Array>; contentLength: number; contentType: string } {
  const boundary = `landfall-${randomBytes(18).toString('hex')}`
  const head = Buffer.from(
    fields
      .map(
        (field) =>
          `--${boundary}\r\ncontent-disposition: form-data; name="${quotable(field.name)}"\r\n\r\n${field.value}\r\n`,
      )
      .join('') +
      `--${boundary}\r\ncontent-disposition: form-data; name="${quotable(file.name)}"; ` +
      `filename="${quotable(file.fileName)}"\r\ncontent-type: application/octet-stream\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: head.length + file.size + tail.length,
    chunks: (async function* () {
      yield head
      yield* file.chunks
      yield tail
    })(),
  }
}

/** As browsers do it (WHATWG HTML, multipart/form-data encoding). */
function quotable(text: string): string {
  return text.replace(/"/gu, '%22').replace(/\r/gu, '%0D').replace(/\n/gu, '%0A')
}
