/** What a failed call to the system says. */

/** The code of the system (`ENOENT` …); undefined for any other error. */
export function systemCode(err: unknown): string | undefined {
    return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : undefined;
}

/** Whether the error says that the file, or a folder on the way to it, is not there. */
export function isAbsent(err: unknown): boolean {
    const code = systemCode(err);
    return code === 'ENOENT' || code === 'ENOTDIR';
}

export function messageOf(err: unknown): string {
    return err instanceof Error ? err.message : String(err);
}
