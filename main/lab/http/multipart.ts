/** One part of a `multipart/form-data` body (RFC 7578). `data` must be read to its end before the next part. */
export interface FormPart {
  name: string
  fileName: string | null
  data: AsyncIterable<Buffer>
}

/** A body that is not multipart, or ends in the middle. */
export class MultipartError extends Error {}

const largestHead = 16 * 1024

/**
 * Reads a multipart body as it arrives. Nothing is kept beyond one chunk, and the source is only read as fast as the
 * parts are, so a body of any size passes through.
 */
export async function* readMultipart(
  source: AsyncIterable<Buffer>,
  contentType: string,
): AsyncGenerator<FormPart> {
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  if (!/^multipart\/form-data\b/i.test(contentType) || boundary === null) {
    throw new MultipartError('the body is not multipart/form-data with a boundary')
  }
  const delimiter = Buffer.from(`\r\n--${boundary[1] ?? boundary[2] ?? ''}`)
  const iterator = source[Symbol.asyncIterator]()
  // The first delimiter has no line break before it; adding one makes all delimiters alike.
  let buffer: Buffer = Buffer.from('\r\n')

  const more = async (): Promise<void> => {
    const next = await iterator.next()
    if (next.done === true) throw new MultipartError('the body ends before its last boundary')
    buffer = buffer.length === 0 ? next.value : Buffer.concat([buffer, next.value])
  }
  async function* untilDelimiter(): AsyncGenerator<Buffer> {
    for (;;) {
      const end = buffer.indexOf(delimiter)
      if (end !== -1) {
        const last = buffer.subarray(0, end)
        buffer = buffer.subarray(end + delimiter.length)
        if (last.length > 0) yield last
        return
      }
      // What may be the beginning of a delimiter stays. Most often nothing does, and the next chunk need not be copied.
      const safe = startOfDelimiter(buffer, delimiter)
      if (safe > 0) {
        const chunk = buffer.subarray(0, safe)
        buffer = buffer.subarray(safe)
        yield chunk
      }
      await more()
    }
  }

  for await (const _preamble of untilDelimiter());
  for (;;) {
    while (buffer.length < 2) await more()
    if (buffer.subarray(0, 2).toString('latin1') === '--') return
    while (buffer.indexOf('\r\n\r\n') === -1) {
      if (buffer.length > largestHead) throw new MultipartError('the head of a part is too long')
      await more()
    }
    const headEnd = buffer.indexOf('\r\n\r\n')
    const head = buffer.subarray(0, headEnd).toString('utf8')
    buffer = buffer.subarray(headEnd + 4)
    const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? ''
    const name = /;\s*name="([^"]*)"/i.exec(disposition)?.[1]
    if (name === undefined) throw new MultipartError('a part has no name')
    const data = untilDelimiter()
    yield { name, fileName: /;\s*filename="([^"]*)"/i.exec(disposition)?.[1] ?? null, data }
    for await (const _rest of data);
  }
}

/** Where the delimiter may begin whose rest is still to come; the length of `buffer` when it cannot. */
function startOfDelimiter(buffer: Buffer, delimiter: Buffer): number {
  const from = Math.max(0, buffer.length - delimiter.length + 1)
  for (let at = buffer.indexOf(0x0d, from); at !== -1; at = buffer.indexOf(0x0d, at + 1)) {
    const tail = buffer.length - at
    if (buffer.compare(delimiter, 0, tail, at) === 0) return at
  }
  return buffer.length
}
