import { isMet, type Measure, type Unit } from './measure';

const HEADINGS = ['work', 'measured', 'floor', 'ratio', 'target', 'met'];
const NOTHING = '–';

function show(value: number | undefined, { name, digits }: Unit): string {
    if (value === undefined) {
        return NOTHING;
    }
    const number = value.toLocaleString('en', {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
    });
    return `${number} ${name}`;
}

function showTarget({ target, unit }: Measure): string {
    if (target === undefined) {
        return NOTHING;
    }
    const bound = 'most' in target ? `≤ ${limit(target.most)}` : `≥ ${limit(target.least)}`;
    return target.of === 'ratio' ? `${bound} × floor` : `${bound} ${unit.name}`;
}

const limit = (value: number): string => value.toLocaleString('en');

function cells(measure: Measure): string[] {
    const met = isMet(measure);
    return [
        measure.work,
        show(measure.value, measure.unit),
        show(measure.floor, measure.unit),
        measure.ratio?.toFixed(2) ?? NOTHING,
        showTarget(measure),
        met === undefined ? NOTHING : met ? 'yes' : 'NO',
    ];
}

/** The measures as one table for a terminal. */
export function formatTable(measures: readonly Measure[]): string {
    const rows = [HEADINGS, ...measures.map(cells)];
    const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    const lines = rows.map((row) =>
        row
            .map((cell, column) =>
                isNumeric(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
            )
            .join('  ')
            .trimEnd(),
    );
    lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
    return lines.join('\n');
}

/** The columns measured, floor and ratio. */
function isNumeric(column: number): boolean {
    return column >= 1 && column <= 3;
}
