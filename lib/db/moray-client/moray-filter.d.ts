/** The part of moray-filter 1.0 that is used here; the package brings no types of its own. */
declare module 'moray-filter' {
    export type ParsedFilter =
        | { readonly type: 'and' | 'or'; readonly filters: readonly ParsedFilter[] }
        | { readonly type: 'not'; readonly filter: ParsedFilter }
        | {
              readonly type: 'equal' | 'ge' | 'le' | 'approx';
              readonly attribute: string;
              readonly value: string;
          }
        | { readonly type: 'present'; readonly attribute: string }
        | {
              readonly type: 'substring';
              readonly attribute: string;
              readonly initial: string;
              readonly any: readonly string[];
              readonly final: string;
          }
        | {
              readonly type: 'ext';
              readonly attribute: string;
              readonly rule?: string;
              readonly value: string;
              /** These three if the value has wildcards. */
              readonly initial?: string;
              readonly any?: readonly string[];
              readonly final?: string;
          };

    /** Throws an error of any kind if the text is no filter, also a RangeError if it is nested too deeply. */
    export function parse(text: string): ParsedFilter;
}
