/** A value as the command lines print it: a text bare, anything else as JSON indented by four (config.md §4). */
export function printed(value: unknown): string {
    if (value === undefined) {
        // JSON has no form for it; an unknown constant prints like this.
        return 'undefined';
    }
    return typeof value === 'string' ? value : JSON.stringify(value, null, 4);
}
