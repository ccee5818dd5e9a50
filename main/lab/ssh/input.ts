/** What a command reads: bytes as they come, or line by line. */
export interface Input {
  readLine: () => Promise<string>
  chunks: () => AsyncIterable<Buffer>
}

export function inputOf(content: Buffer): Input {
  let rest = content
  return {
    readLine: () => {
      const end = rest.indexOf('\n')
      const line = rest.subarray(0, end === -1 ? rest.length : end).toString()
      rest = rest.subarray(end === -1 ? rest.length : end + 1)
      return Promise.resolve(line)
    },
    chunks: () => toAsync(rest),
  }
}

async function* toAsync(content: Buffer): AsyncGenerator<Buffer> {
  if (content.length > 0) yield await Promise.resolve(content)
}
