/** Levenshtein distance: how many letters have to be changed, added or taken away. */
function editDistance(a: string, b: string): number {
    let row = Array.from({ length: b.length + 1 }, (_, column) => column);
    for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++) {
            const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
            next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
        }
        row = next;
    }
    return row[b.length] ?? 0;
}

/** The name that was probably meant, upper and lower case aside; undefined if none is near. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
    const wanted = given.toLowerCase();
    const furthest = Math.max(1, Math.floor(given.length / 3));
    return names
        .map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase()) }))
        .filter(({ distance }) => distance <= furthest)
        .sort((a, b) => a.distance - b.distance)[0]?.name;
}
