import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { AppError } from '../../shared/errors/index.ts'

export interface ContentUpload {
  /** Where the bytes come from: a file, or a function that starts the stream anew. */
  source: { path: string } | { open: () => AsyncIterable<Uint8Array> }
  /** As the appliance shall know it. */
  fileName: string
  /** Bytes. */
  size: number
  /** Hex. When given, the upload is not completed if the bytes that were sent have another hash. */
  sha256?: string | undefined
  /** Text of the detached signature, hex (palette.md §7.3.2). */
  signature?: string | undefined
  /** Bytes of the file that the connection has taken so far. */
  onProgress?: (sentBytes: number) => void
  signal?: AbortSignal | undefined
  /** Real time without a byte leaving, after which the upload is given up. Default 120 000. */
  stallMilliseconds?: number
  /** Real time from the last byte to the answer: the appliance unpacks meanwhile. Default 60 min (palette.md §4.2). */
  answerMilliseconds?: number
}

const chunkBytes = 1024 * 1024

/**
 * The bytes of the upload, checked on their way: exactly `size` bytes, and the hash when one is given. A difference
 * throws before the last part of the form goes out, so that the appliance never takes a wrong file for a whole one.
 */
export async function* checkedChunks(
  upload: ContentUpload,
  onChunk: (sentBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const hash = upload.sha256 === undefined ? undefined : createHash('sha256')
  const source = 'path' in upload.source ? fileChunks(upload.source.path) : upload.source.open()
  let sent = 0
  for await (const chunk of source) {
    if (sent + chunk.length > upload.size) throw fileChanged(upload, 'it is longer than it was at the start')
    hash?.update(chunk)
    yield chunk
    // The consumer asks for the next chunk only when it has taken this one.
    sent += chunk.length
    onChunk(sent)
  }
  if (sent !== upload.size) {
    throw fileChanged(upload, `it has ${String(sent)} bytes instead of ${String(upload.size)}`)
  }
  if (hash !== undefined && hash.digest('hex') !== upload.sha256?.toLowerCase()) {
    throw fileChanged(upload, 'its SHA-256 is not the one that was measured before')
  }
}

async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw new AppError({
      code: 'FILE_NOT_READABLE',
      title: 'The file to upload cannot be read.',
      detail: `${path}: ${error instanceof Error ? error.message : String(error)}`,
      remedies: ['Check that the file is there and may be read, then start again.'],
      cause: error,
    })
  })
  try {
    for (;;) {
      // A new buffer each time: the connection may still hold the previous one.
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

function fileChanged(upload: ContentUpload, problem: string): AppError {
  return new AppError({
    code: 'FILE_CHANGED',
    title: `The file ${upload.fileName} changed while it was sent.`,
    detail: `The upload was not completed: ${problem}.`,
    remedies: ['Make sure that nothing writes to the file and that its disk is sound, then send it again.'],
  })
}
