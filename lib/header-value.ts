const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether a text can be the value of a header that this server sends, whoever reads it. */
export function isHeaderValue(text: string): boolean {
    return HEADER_VALUE.test(text);
}
