/** Discs with a check mark, in a colour that shows on light and on dark tabs. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#16939f" stroke-width="2.8" stroke-linecap="round" stroke-linejoin="round"><ellipse cx="15" cy="7" rx="11" ry="4"/><path d="M4 7v9c0 2.2 4.9 4 11 4s11-1.8 11-4V7"/><path d="M4 16v8c0 2 4 3.7 9.5 4"/><path d="m18.5 26 3.5 3 6.5-7"/></svg>
`;
