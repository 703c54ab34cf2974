# SPDX-License-Identifier: GPL-2.0-or-later
# Pressure and depth of every resource that was pressed, and what the classes got; see t/sim/plot.
set terminal svg size 1000,900 font "sans,12" background "white"
set output out
set datafile separator "\t"
set datafile missing "-1.000"
title_line = system("head -n 1 ".data." | cut -c 3-")
set multiplot layout 3,1 title title_line noenhanced margins 0.08,0.84,0.07,0.93 spacing 0.05
set key outside right top
set grid lc rgb "#dddddd"
set xrange [0:*]
set style data lines

set ylabel "pressure (1 = target)"
set yrange [0:*<6]
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb "#888888" dt 2
plot data using 1:2 title "cpu" lw 1.5, data using 1:5 title "memory" lw 1.5, \
     data using 1:8 title "net" lw 1.5, data using 1:11 title "disk" lw 1.5
unset arrow 1

set ylabel "depth (classes that gave way)"
set yrange [0:*]
plot data using 1:3 title "cpu" lw 2, data using 1:6 title "memory" lw 2, \
     data using 1:9 title "net" lw 2, data using 1:12 title "disk" lw 2

set ylabel "what each class got"
set xlabel "seconds"
set yrange [0:*]
plot data using 1:14 title "first class" lw 2, data using 1:15 title "second class" lw 2, \
     data using 1:16 title "third class" lw 2
unset multiplot
