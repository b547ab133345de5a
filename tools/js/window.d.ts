// What the pages leave on the window, and files that are no code.
declare module "*.css";

interface Window {
  [name: string]: any;
}
