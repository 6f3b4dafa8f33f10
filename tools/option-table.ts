/** Prints the table of command line options of docs/operator-guide.md; a test holds the page to it. */
import { describedOptions } from '../lib/config/usage';

const code = (text: string): string => `\`${text}\``;

/** The options of main.js, each with its variable, its key and its default. */
export function optionTable(): string {
    const rows = describedOptions().map(({ names, value, help, key, otherwise, variables }) => {
        const flag = [...names.map(code), ...(value === undefined ? [] : [value])].join(' ');
        const variable = variables.map((text) => text.replace(/^\S+/, code)).join(', ');
        const cells = [flag, variable, key === undefined ? '' : code(key), otherwise ?? '', help];
        return `| ${cells.join(' | ')} |`;
    });
    return ['| flag | environment | key | default | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}

if (require.main === module) {
    console.log(optionTable());
}
