/** How the appliance wants a PEM file: Base64 of the whole of it, in one line (palette.md §9 no. 9). */
export function base64OfPem(text: string): string {
  return Buffer.from(text.endsWith('\n') ? text : `${text}\n`).toString('base64')
}
