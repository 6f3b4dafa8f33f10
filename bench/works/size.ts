/** A size in bytes, as a title has it. */
export function showSize(bytes: number): string {
    return bytes >= 1 << 30 ? `${bytes / (1 << 30)} GiB` : `${bytes / (1 << 20)} MiB`;
}
